"""One file per rule, or per pair of rules that are each other's mirror."""
