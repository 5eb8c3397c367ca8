// Before anything is shown: the browser's time zone, for all times of all pages. Where the cookie is not kept, or the
// server does not know that zone, it stays UTC, and the page says so.
"use strict";

{
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
  const cookies = () => document.cookie.split("; ");
  if (!cookies().includes(`zone=${zone}`)) {
    document.cookie = `zone=${zone}; path=/; max-age=31536000; SameSite=Lax`;
    if (zone !== document.documentElement.dataset.zone && cookies().includes(`zone=${zone}`)) location.reload();
  }
}
