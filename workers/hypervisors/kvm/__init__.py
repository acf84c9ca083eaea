"""KVM through libvirt: domains of this host's system instance."""
