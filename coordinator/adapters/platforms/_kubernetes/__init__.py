"""The parts of the Kubernetes platform; kubernetes.py next to this folder is the platform itself."""
