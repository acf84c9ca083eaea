"""What a guest reads at its first boot to become itself."""
