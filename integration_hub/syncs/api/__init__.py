from .rejects import RejectViewSet
from .runs import RunViewSet
from .syncs import SyncViewSet

__all__ = ["RejectViewSet", "RunViewSet", "SyncViewSet"]
