from .groups import GroupViewSet
from .rejects import RejectViewSet
from .runs import RunViewSet
from .syncs import PairViewSet, SyncViewSet

__all__ = ["GroupViewSet", "PairViewSet", "RejectViewSet", "RunViewSet", "SyncViewSet"]
