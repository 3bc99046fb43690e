// A civil affairs service that the npm library `soap` builds from the published WSDL.
// Usage: node server.mjs WSDL CERTIFICATE KEY; prints its port on one line, ends when its standard input closes.
// User `hub`, password `geheim`; 450 members, everything else one row; the third call is answered "busy".

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { listen } from "soap";

const [wsdl, certificate, key] = process.argv.slice(2);
const PASSWORD = "geheim";
const changed = "2026-10-01T02:00:00+08:00";
const nonces = new Set();
let calls = 0;

const rows = {
  household: [{ hubh: "H1", bbh: "1", gxsj: changed, xzqhdm: "533103102203", xzmc: "遮放镇", cmc: "弄坎村", zh: "03", lxdh: "", hzt: "1", scbz: "" }],
  member: Array.from({ length: 450 }, (_, n) => ({
    cybh: `C${String(n).padStart(4, "0")}`, bbh: "1", gxsj: changed, hubh: "H1", xm: "刀岩保 & <子>",
    sfzjhm: "", csrq: "2015-06-01", yhzgx: "20", rhrq: "2015-06-01", lhrq: "", swrq: "", scbz: "", mz: "18",
  })),
  relief: [{ jzbh: "J1", bbh: "2", gxsj: changed, hubh: "H1", jzlx: "01", ksrq: "2025-01-01", jsrq: "", bzrs: "4", yjzje: "420.5", scbz: "" }],
  event: [{ sjbh: "E1", bbh: "1", djsj: changed, sjlx: "04", sjrq: "2026-09-30", cy: [{ cybh: "C0001" }], cxbz: "" }],
};

function fault(code) {
  return { Fault: { faultcode: "soap:Server", faultstring: code, detail: { errorCode: code }, statusCode: 500 } };
}

function page(kind) {
  return (query) => {
    calls += 1;
    if (calls === 3) throw fault("CA-9001");
    const first = (Number(query.pageNo) - 1) * Number(query.pageSize);
    if (query.pageNo > 1 !== (query.snapshotId === "s1")) throw fault("CA-1007");
    return {
      snapshotId: "s1",
      total: rows[kind].length,
      pageNo: query.pageNo,
      asOf: "2026-10-20T06:00:00+08:00",
      [kind]: rows[kind].slice(first, first + Number(query.pageSize)),
    };
  };
}

const service = {
  CivilAffairs: {
    CivilAffairsPort: {
      QueryHouseholds: page("household"),
      QueryMembers: page("member"),
      QueryRelief: page("relief"),
      QueryEvents: page("event"),
    },
  },
};

function authenticate(security) {
  const token = security?.UsernameToken;
  if (!token || nonces.has(token.Nonce.$value)) return false;
  nonces.add(token.Nonce.$value);
  const hash = createHash("sha1");
  hash.update(Buffer.from(token.Nonce.$value, "base64"));
  hash.update((token.Created.$value ?? token.Created) + PASSWORD);
  return token.Username === "hub" && token.Password.$value === hash.digest("base64");
}

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.listen(0, "127.0.0.1", () => {
  const soap = listen(server, "/services/CivilAffairs", service, readFileSync(wsdl, "utf8"));
  soap.authenticate = authenticate;
  console.log(server.address().port);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
