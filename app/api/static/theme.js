// Before the first paint, so that no page flashes in the other scheme.
try {
  const theme = localStorage.getItem("vmclone.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be closed to us: then the system's scheme holds.
}
