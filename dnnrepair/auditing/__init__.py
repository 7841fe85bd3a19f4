"""The audit: from a network, or a table of predictions, to a fairness report."""

from dnnrepair.auditing.audit import audit
from dnnrepair.auditing.request import AuditRequest

__all__ = ["AuditRequest", "audit"]
