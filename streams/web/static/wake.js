// Keeps the screen on while the page is to be seen: a host has no hand free to touch the phone.

/** Asks for it now and each time the page comes back: a browser lets go of it when the page is hidden. */
export function stayAwake() {
  document.addEventListener("visibilitychange", keepOn);
  keepOn();
}

async function keepOn() {
  // Without HTTPS a browser has no such thing.
  if (document.hidden || !navigator.wakeLock) return;
  try {
    await navigator.wakeLock.request("screen");
  } catch {
    // Refused, as with an empty battery: the screen goes dark as it always does, and the page catches up afterwards.
    return;
  }
}
