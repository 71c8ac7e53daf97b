"""What a search finds, looked up in a table of all architectures, beside rivals in equal time."""

from unas.lab.ranking.experiment import ranking
from unas.lab.ranking.methods import RankingPlan

__all__ = ["RankingPlan", "ranking"]
