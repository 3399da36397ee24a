// Runs before the first paint: theme and language of the last visit, so that nothing flashes.
(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem('hinomi.theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    const language = localStorage.getItem('hinomi.language');
    if (language === 'ja' || language === 'en') root.lang = language;
  } catch {
    // storage is switched off: the system's theme and language apply
  }
})();
