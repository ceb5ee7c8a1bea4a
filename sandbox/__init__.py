"""Six demo systems in one process, spoken to only over HTTP: something real to connect without owning a CRM, an OA or an ERP.

Each speaks another dialect (authentication, pagination, names, dates, errors), as the systems of a company do. README.md describes them all.
"""
