"""The controller of ``reconciler watch`` in Kubernetes: it follows the ``PersonaCatalog`` resources of a cluster."""
