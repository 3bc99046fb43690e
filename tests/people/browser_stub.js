"use strict";

// A page and an authenticator just real enough to run sign_in.js: prints what the script asked for and what it sent.

const [script, use, options, answer] = process.argv.slice(2);
const hex = (buffer) => Buffer.from(buffer).toString("hex");
const buffers = JSON.parse(answer, (_, value) => (typeof value === "string" ? Uint8Array.from(Buffer.from(value, "hex")).buffer : value));

const asked = {};
const credentials = {};
credentials[use] = async ({ publicKey }) => {
  Object.assign(asked, publicKey, { challenge: hex(publicKey.challenge) });
  if (publicKey.user) asked.user = { ...publicKey.user, id: hex(publicKey.user.id) };
  const known = publicKey.excludeCredentials || publicKey.allowCredentials || [];
  asked.known = known.map((each) => hex(each.id));
  return { id: "the-id", rawId: buffers.rawId, type: "public-key", response: buffers.response };
};

const button = { disabled: true };
const trouble = { hidden: true, textContent: "" };
let submit;
const form = {
  dataset: { use, options },
  elements: { answer: { value: "" } },
  querySelector: () => button,
  addEventListener: (_, listener) => { submit = listener; },
  submit: () => console.log(JSON.stringify({ asked, sent: JSON.parse(form.elements.answer.value), trouble: trouble.hidden })),
};
const enrolment = { value: "" };
const shown = { passkey: form, trouble, enrolment };
globalThis.document = { getElementById: (id) => shown[id] || null };
globalThis.window = { PublicKeyCredential: class {} };
globalThis.location = { hash: "#7K3QD-AAAAA", pathname: "/enrol" };
globalThis.history = { replaceState: (_state, _title, path) => { if (path !== "/enrol") throw new Error(path); } };
Object.defineProperty(globalThis, "navigator", { value: { credentials } });

require("node:vm").runInThisContext(require("node:fs").readFileSync(script, "utf8"));
if (button.disabled || enrolment.value !== "7K3QD-AAAAA") throw new Error("the page was not made ready");
submit({ preventDefault: () => {} });
