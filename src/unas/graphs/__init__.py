"""Any network as a graph: counted, traced, and written as ONNX."""
