"""KVM through libvirt: domains of this host's system instance.

The driver builds clones with `template` and `domain`. `domain_xml.build`, with `source_xml`, the
rows of `element_table` and what these use, is to take their place: it knows every element that
docs/kvm-elements.md lists, and the driver does not call it yet.
"""
