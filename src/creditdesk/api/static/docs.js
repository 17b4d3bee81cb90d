"use strict";
fetch("openapi.json").then(response => response.json()).then(spec => {
  spec.components.securitySchemes.password = {
    type: "oauth2",
    description: "E-mail and password, exchanged for a bearer token.",
    flows: { password: { tokenUrl: new URL("api/token", location).href, scopes: {} } },
  };
  spec.security.push({ password: [] });
  SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    tryItOutEnabled: true,
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
  });
});
