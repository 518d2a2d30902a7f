// What a back end in Node.js asks of the server through casdoor-nodejs-sdk. The settings come in the environment variable
// MINIDOOR as JSON; it ends with status 1 at the first answer that is not as it should be.
const assert = require('node:assert/strict');
const { SDK } = require('casdoor-nodejs-sdk');

const given = JSON.parse(process.env.MINIDOOR);
const sdk = new SDK({
  endpoint: given.endpoint,
  clientId: given.clientId,
  clientSecret: given.clientSecret,
  certificate: given.certificate,
  orgName: given.organization,
  appName: given.application,
});

// data is what an answer holds; an answer that is no success ends the program.
const data = async (asked) => {
  const { data: answer } = await asked;
  assert.equal(answer.status, 'ok', answer.msg);
  return answer.data;
};

async function users() {
  const user = { owner: given.organization, name: 'node', displayName: 'Node 小明', password: 'secret-1' };
  assert.equal(await data(sdk.addUser({ ...user })), 'Affected');
  const { data: twice } = await sdk.addUser({ ...user });
  assert.equal(twice.msg, 'Username already exists');
  const found = await data(sdk.getUser('node'));
  assert.equal(found.displayName, 'Node 小明');
  assert.equal(found.password, '***');
  found.displayName = 'Node';
  assert.equal(await data(sdk.updateUser(found)), 'Affected');
  assert.ok((await data(sdk.getUsers())).some((u) => u.displayName === 'Node'));
  assert.equal(await data(sdk.getUserCount('')), 3);
  assert.equal(await data(sdk.deleteUser(found)), 'Affected');
  assert.equal(await data(sdk.getUser('node')), null);
}

async function providers() {
  const provider = { name: 'node', category: 'OAuth', type: 'WeChatMiniProgram', clientId: 'wxn', clientSecret: 's-node' };
  assert.equal(await data(sdk.addProvider(provider)), 'Affected');
  const found = await data(sdk.getProvider('node'));
  assert.equal(found.clientSecret, '***');
  assert.equal(await data(sdk.updateProvider({ ...found, displayName: 'Node' })), 'Affected');
  assert.ok((await data(sdk.getProviders())).some((p) => p.displayName === 'Node'));
  assert.equal(await data(sdk.deleteProvider(found)), 'Affected');
}

async function tokens() {
  const claims = sdk.parseJwtToken(given.accessToken);
  assert.equal(claims.name, given.user);
  assert.throws(() => sdk.parseJwtToken(given.accessToken.slice(0, -8) + 'AAAAAAAA'));
  const { data: known } = await sdk.introspect(given.accessToken, 'access_token');
  assert.equal(known.active, true);
  const [token] = (await data(sdk.getTokens(1, 10))).filter((t) => t.user === given.user);
  assert.equal(token.accessTokenHash, '***');
  assert.equal((await data(sdk.getToken(token.name))).user, given.user);
  assert.equal(await data(sdk.deleteToken(token)), 'Affected');
  const { data: ended } = await sdk.introspect(given.accessToken, 'access_token');
  assert.equal(ended.active, false);
}

users().then(providers).then(tokens).then(
  () => console.log('done'),
  (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
