"""The demo on real guests: what it needs, makes and takes away on a libvirt host."""
