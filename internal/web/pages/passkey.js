// Completes forms with what a passkey of the browser says (package webauthn reads it).
"use strict";
const octets = (s) => Uint8Array.from(atob(s.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

for (const box of document.querySelectorAll("[data-passkey]")) {
  const form = box.querySelector("form");
  const says = box.querySelector("[role=alert]");
  const button = form.querySelector("button");
  const options = JSON.parse(box.dataset.passkey);
  options.challenge = octets(options.challenge);
  for (const c of [...(options.allowCredentials ?? []), ...(options.excludeCredentials ?? [])]) c.id = octets(c.id);
  if (options.user) options.user.id = octets(options.user.id);
  if (!window.PublicKeyCredential) {
    says.textContent = "This browser knows no passkeys.";
    button.disabled = true;
    continue;
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    says.textContent = "";
    try {
      const made = options.user !== undefined;
      const c = made ? await navigator.credentials.create({ publicKey: options }) : await navigator.credentials.get({ publicKey: options });
      const set = (name, b) => { form.elements.namedItem(name).value = text(b); };
      set("id", c.rawId);
      set("client", c.response.clientDataJSON);
      if (made) {
        set("data", c.response.getAuthenticatorData());
        set("key", c.response.getPublicKey());
      } else {
        set("data", c.response.authenticatorData);
        set("signature", c.response.signature);
      }
      form.submit();
    } catch (e) {
      says.textContent = e.name === "InvalidStateError" ? "This device has a passkey for the account already." : "There was no passkey, or it was not used. Try again.";
      button.disabled = false;
    }
  });
}
