/* The finder opens offline once it was open: pages from the network first, from the cache when there is none. Events never pass here. */
const CACHE = "configurator-1";
const FILES = ["./", "configurator.css", "configurator.js", "laptops.js", "tracking.js", "icon.svg"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)))).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  if (!FILES.some((file) => new URL(file, registration.scope).pathname === new URL(request.url).pathname)) return;
  event.respondWith(
    fetch(request)
      .then((response) => {
        const copy = response.clone();
        if (response.ok) void caches.open(CACHE).then((cache) => cache.put(request, copy));
        return response;
      })
      .catch(() => caches.match(request, { ignoreSearch: true }).then((found) => found ?? Response.error())),
  );
});
