// Starts Swagger UI on our own schema. A signed-in browser is recognised by its session cookie.
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/schema/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    validatorUrl: null,
    docExpansion: "list",
    persistAuthorization: false,
  });
});
