"""How evidence is measured, one file per kind; found through :data:`dnnrepair.probe.probes`."""
