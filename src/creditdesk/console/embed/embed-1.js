/* Places a member's page in another site: <div data-creditdesk="/me/frame/…"></div>, and this script after it. */
"use strict";

(() => {
  const server = new URL(document.currentScript.src).origin;
  const lowest = 120;
  const highest = 10000;
  const frames = [];

  for (const place of document.querySelectorAll("[data-creditdesk]")) {
    const address = new URL(place.dataset.creditdesk, server);
    if (address.origin !== server || !address.pathname.startsWith("/me/frame/")) {
      console.error("creditdesk: data-creditdesk must be the path of a frame link");
      continue;
    }
    const frame = document.createElement("iframe");
    frame.src = address.href;
    frame.title = place.dataset.title || "Your credit";
    frame.referrerPolicy = "no-referrer";
    frame.width = "100%";
    frame.height = "600";
    frame.style.border = "0";
    frame.style.display = "block";
    place.replaceChildren(frame);
    frames.push(frame);
  }

  /* The page in the frame tells its height whenever that changes. */
  window.addEventListener("message", (event) => {
    const frame = frames.find((each) => each.contentWindow === event.source);
    const height = Number(event.data?.creditdeskHeight);
    if (frame && event.origin === server && Number.isFinite(height)) {
      frame.height = String(Math.min(highest, Math.max(lowest, Math.ceil(height))));
    }
  });
})();
