"""An existing libvirt host as an inventory document. Looks, and changes nothing there."""
