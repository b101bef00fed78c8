// Makes a container: node make_container.js URL ACCOUNT KEY CONTAINER
const crypto = require('node:crypto');

const [url, account, key, container] = process.argv.slice(2);
const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-12-02' };
const named = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join('');
// Method, eleven headers that are not sent, ours, and what is asked for, whose path begins with the account once more.
const text = `PUT${'\n'.repeat(12)}${named}/${account}${new URL(url).pathname}/${container}\nrestype:container`;
const signature = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
headers.Authorization = `SharedKey ${account}:${signature}`;

fetch(`${url}/${container}?restype=container`, { method: 'PUT', headers }).then(async (answer) => {
  if (answer.status !== 201) {
    console.error(answer.status, await answer.text());
    process.exit(1);
  }
});
