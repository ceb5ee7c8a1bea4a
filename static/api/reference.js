// Draws the reference from the schema. Requests that are tried carry the session's CSRF token, as any form of the console does.
"use strict";
const place = document.getElementById("hub-reference");
const csrf = () => (document.cookie.match(/(?:^|; )csrftoken=([^;]+)/) || [])[1] || "";
const root = document.documentElement;
const follow = () => root.classList.toggle("dark-mode", root.classList.contains("dark")); // Swagger UI's own name for it
follow();
new MutationObserver(() => { if (root.classList.contains("dark-mode") !== root.classList.contains("dark")) follow(); }).observe(root, { attributeFilter: ["class"] });
window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (!/^(GET|HEAD)$/i.test(request.method || "GET")) request.headers["X-CSRFToken"] = csrf();
    return request;
  },
});
