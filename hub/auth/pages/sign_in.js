"use strict";

// Asks the browser for a passkey (or for a new one), writes the answer into the form and sends it. Nothing is loaded.

const bytes = (text) => {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
};

const text = (buffer) => {
  let plain = "";
  for (const each of new Uint8Array(buffer)) plain += String.fromCharCode(each);
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
};

const named = (credentials) => (credentials || []).map((each) => ({ ...each, id: bytes(each.id) }));

async function ask(use, options) {
  options.challenge = bytes(options.challenge);
  if (use === "get") {
    options.allowCredentials = named(options.allowCredentials);
    return navigator.credentials.get({ publicKey: options });
  }
  options.user.id = bytes(options.user.id);
  options.excludeCredentials = named(options.excludeCredentials);
  return navigator.credentials.create({ publicKey: options });
}

function written(credential) {
  const response = { clientDataJSON: text(credential.response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response, clientExtensionResults: {} };
}

const form = document.getElementById("passkey");
if (form) {
  const button = form.querySelector("button");
  const trouble = document.getElementById("trouble");
  const tell = (chinese, english) => {
    trouble.textContent = `${chinese} ${english}`;
    trouble.hidden = false;
  };
  if (window.PublicKeyCredential) {
    button.disabled = false;
  } else {
    tell("此浏览器不支持通行密钥。", "This browser knows no passkeys.");
  }
  form.addEventListener("submit", async (event) => {
    if (form.elements.answer.value) return;
    event.preventDefault();
    button.disabled = true;
    try {
      const credential = await ask(form.dataset.use, JSON.parse(form.dataset.options));
      form.elements.answer.value = JSON.stringify(written(credential));
      form.submit();
    } catch {
      button.disabled = false;
      tell("没有完成，请再试一次。", "That was not completed; try again.");
    }
  });
}

// An enrolment link carries its code behind the number sign, which browsers never send to a server.
const code = document.getElementById("enrolment");
if (code && location.hash.length > 1) {
  code.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
