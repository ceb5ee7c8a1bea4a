from sandbox.systems.crm import Crm
from sandbox.systems.oa import Oa

SYSTEMS = (Crm, Oa)
