from sandbox.systems.crm import Crm
from sandbox.systems.erp import Erp
from sandbox.systems.helpdesk import HelpDesk
from sandbox.systems.marketing import Marketing
from sandbox.systems.mrp import Mrp
from sandbox.systems.oa import Oa

SYSTEMS = (Crm, Oa, Erp, Mrp, HelpDesk, Marketing)
