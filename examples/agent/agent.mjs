// An AI agent's side of the proxy, with nothing but fetch: it calls an API, and when
// the proxy says that the user has to connect an account, it shows the link, waits
// until that is done, and repeats the call.
//
//	ACCESS_TOKEN=… node examples/agent/agent.mjs http://localhost:8080/google/calendar/v3/calendars/primary/events

import { setTimeout as sleep } from "node:timers/promises";

// call returns what the API answers, after the user connected the account if that was
// needed.
async function call(url, token) {
	let answer = await get(url, token);
	// Only the proxy sets this header: a 401 without it is the API's own.
	if (answer.headers.has("Token-Vault-Error")) {
		const problem = await answer.json();
		if (!problem.link_url) throw new Error(`${problem.error}: ${problem.detail}`);
		console.log(`To go on, open this link and connect your account:\n\n  ${problem.link_url}\n\nWaiting for you…`);
		await connected(problem.status_url, token);
		answer = await get(url, token);
	}
	if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
	return answer.text();
}

// connected returns when the account is.
async function connected(statusURL, token) {
	for (;;) {
		// The proxy answers when there is news, at the latest after 50 seconds.
		const answer = await get(`${statusURL}&wait=50`, token);
		if (!answer.ok) throw new Error(`asking for the status was answered ${answer.status}`);
		const { status } = await answer.json();
		if (status === "completed") return;
		if (status !== "pending") throw new Error(`the account was not connected: ${status}`);
		await sleep((Number(answer.headers.get("Retry-After")) || 0.1) * 1000); // should the proxy not wait
	}
}

const get = (url, token) => fetch(url, { headers: { Authorization: `Bearer ${token}` } });

const [url, ...more] = process.argv.slice(2);
const token = process.env.ACCESS_TOKEN;
if (!url || more.length > 0 || !token) {
	console.error("usage: ACCESS_TOKEN=<access token> agent.mjs <url>");
	process.exit(2);
}
try {
	console.log(await call(url, token));
} catch (error) {
	console.error(`agent: ${error.message}`);
	process.exitCode = 1;
}
