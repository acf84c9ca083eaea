"""Real guests on real libvirtds, all on this machine."""
