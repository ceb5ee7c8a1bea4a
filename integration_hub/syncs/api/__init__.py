from .rejects import RejectViewSet
from .runs import RunViewSet
from .syncs import PairViewSet, SyncViewSet

__all__ = ["PairViewSet", "RejectViewSet", "RunViewSet", "SyncViewSet"]
