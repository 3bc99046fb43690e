"use strict";

const SAMPLES = [
  {
    name: "银行：借款人信用信息 · Bank: a borrower's profile",
    query: `query Profile($input: BorrowerProfileInput!) {
  borrowerProfile(input: $input) {
    ... on BorrowerProfile {
      borrowerId asOf completeness
      household { completeness villageName size minors }
      identity { completeness name maskedIdNumber relation ageBand }
      tax { completeness hasArrears grades { gradeYear grade } }
      bank {
        completeness
        ownLoans { contractNo balance fiveClass }
        otherLoans { lenders totalBalance worstClass }
      }
      withheld { field reason canAskConsent }
      absent { field reason }
    }
    ... on UserError { code message }
  }
}`,
    variables: {
      input: {
        borrower: { identity: { idNumber: "", name: "" } },
        purpose: "LOAN_APPLICATION",
        officer: "officer-1",
      },
    },
  },
  {
    name: "居民：本人档案 · Resident: the own record",
    query: `query OwnRecord {
  household {
    ... on OwnRecord {
      asOf completeness
      household { villageName size minors }
      identity { name maskedIdNumber }
      tax { grades { gradeYear grade provenance { source recordedAt } } }
      socialInsurance { items { insuranceType paidMonths } }
      bank { loans { lender items { balance maturityDate } } }
      withheld { field reason }
      absent { field reason }
    }
    ... on UserError { code message }
  }
}`,
    variables: {},
  },
  {
    name: "所有查询和操作 · Everything that can be asked",
    query: `query Everything {
  __schema {
    queryType { fields { name description } }
    mutationType { fields { name description } }
  }
}`,
    variables: {},
  },
];

const element = (id) => document.getElementById(id);

function choose(index) {
  element("query").value = SAMPLES[index].query;
  element("variables").value = JSON.stringify(SAMPLES[index].variables, null, 2);
}

function say(text) {
  element("status").textContent = text;
}

function readVariables() {
  const text = element("variables").value.trim();
  return text === "" ? {} : JSON.parse(text);
}

function tellNotice(reply) {
  const receipt = reply.extensions && reply.extensions.receipt;
  const notice = element("notice");
  notice.hidden = !receipt;
  if (receipt) {
    notice.textContent = `本次操作已记入审计日志，第 ${receipt.index} 条。 Recorded as entry ${receipt.index} of the audit log.`;
  }
}

async function run(event) {
  event.preventDefault();
  let variables;
  try {
    variables = readVariables();
  } catch {
    say("变量不是有效的 JSON。 The variables are not valid JSON.");
    return;
  }
  const headers = {
    "accept": "application/graphql-response+json, application/json;q=0.9",
    "accept-language": element("language").value,
    "content-type": "application/json",
  };
  const token = element("token").value.trim();
  if (token) {
    headers.authorization = `Bearer ${token}`;
  }
  element("run").disabled = true;
  say("正在执行…… Running…");
  try {
    const reply = await fetch("/graphql", {
      method: "POST",
      headers,
      credentials: "omit",
      body: JSON.stringify({ query: element("query").value, variables }),
    });
    const text = await reply.text();
    say(`HTTP ${reply.status}`);
    try {
      const value = JSON.parse(text);
      element("result").textContent = JSON.stringify(value, null, 2);
      tellNotice(value);
    } catch {
      element("result").textContent = text;
    }
  } catch {
    say("无法连接服务器。 The server cannot be reached.");
  } finally {
    element("run").disabled = false;
  }
}

SAMPLES.forEach((sample, index) => {
  element("sample").append(new Option(sample.name, String(index)));
});
element("sample").addEventListener("change", (event) => choose(Number(event.target.value)));
element("form").addEventListener("submit", run);
choose(0);
