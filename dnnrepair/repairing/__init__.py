"""The whole loop: diagnose, try treatments on copies, keep what measurably helps."""
