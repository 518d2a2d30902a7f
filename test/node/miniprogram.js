// Runs the client of the example mini program against a server, with a wx that reaches it by fetch and may lose answers.
const assert = require('node:assert/strict')
const { createClient, demoCode, MinidoorError } = require('../../examples/miniprogram/utils/minidoor.js')
const { toast } = require('../../examples/miniprogram/utils/toast.js')

const server = process.env.MINIDOOR
const clientId = 'demo-client'
const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')

let stored // what the phone keeps
let refreshes // refresh tokens that were sent, each with what was stored then
let fate // 'lost': refreshes and deletions once they are done; 'limited': refreshes; 'no account': get-account; or none
let noCode // wx.login fails

async function answer(options, request) {
  const isRefresh = options.url.endsWith('/refresh_token')
  if (isRefresh) refreshes.push({ token: options.data.refresh_token, stored })
  try {
    if (isRefresh && fate === 'limited') {
      options.success({ statusCode: 429, header: {}, data: { error: 'slow_down' } })
      return
    }
    if (fate === 'no account' && options.url.includes('/get-account')) throw new Error('timeout')
    const reply = await fetch(options.url, request)
    const text = await reply.text()
    if (fate === 'lost' && (isRefresh || options.url.endsWith('/account/delete'))) throw new Error('timeout')
    let data = text
    try { data = JSON.parse(text) } catch (err) { /* as wx.request does it, too */ }
    options.success({ statusCode: reply.status, header: Object.fromEntries(reply.headers), data, text })
  } catch (err) {
    options.fail({ errMsg: `request:fail ${err.message}` })
  }
}

globalThis.wx = {
  getStorageSync: () => stored || '', // as wx gives what is not there
  setStorageSync: (key, value) => { stored = structuredClone(value) },
  removeStorageSync: () => { stored = undefined },
  request(options) {
    const { method = 'GET', header = {}, data } = options
    if (method === 'GET') { // data is the query then
      const url = `${options.url}?${new URLSearchParams(data)}`
      answer({ ...options, url }, { headers: header })
      return
    }
    const isForm = header['content-type'] === 'application/x-www-form-urlencoded'
    const body = data && (isForm ? new URLSearchParams(data) : JSON.stringify(data))
    answer(options, { method, headers: { 'content-type': 'application/json', ...header }, body })
  },
  uploadFile(options) {
    const body = new FormData()
    for (const [name, value] of Object.entries(options.formData)) body.append(name, value)
    body.append(options.name, new Blob([picture]), options.filePath)
    answer({ ...options, success: (res) => options.success({ ...res, data: res.text }) },
      { method: 'POST', headers: options.header, body })
  },
}

// phone returns a client as a mini program has it that starts on a phone with these tokens.
function phone(tokens, appId) {
  stored = tokens
  return createClient({
    server, clientId, appId, getCode: () => (noCode ? Promise.reject(new Error('login:fail')) : demoCode(server, 'alice')),
  })
}

// expired returns tokens of which the server refuses the access token.
async function expired() {
  ;[refreshes, fate, noCode] = [[], '', false]
  await phone().signIn()
  return { access: 'expired', refresh: stored.refresh }
}

async function testCalls() {
  let client = phone(await expired())
  const { user } = await client.account()
  assert.equal(user.name, 'wechat-oDemo_alice')
  assert.equal(refreshes.length, 1)
  assert.notEqual(stored.refresh, refreshes[0].token)
  client = phone(stored)
  assert.equal((await client.updateProfile({ nickName: '小明' })).user.displayName, '小明')
  const saved = await client.updateProfile({ nickName: 'n', avatarUrl: 'wxfile://tmp_a.png' })
  assert.equal(saved.user.displayName, 'n')
  assert.match(saved.user.avatar, /\/avatars\//)
  assert.equal((await client.session()).valid, true)
  assert.ok(await client.exportAccount())
  const tokens = stored
  await client.signOut()
  assert.equal(client.isSignedIn(), false)
  client = phone({ access: tokens.access })
  await client.account()
  assert.notEqual(stored.access, tokens.access, 'the token has ended')
  await client.deleteAccount()
  assert.equal(stored, undefined)
}

// Of several mini programs of an application each says which it is, wherever WeChat is asked.
async function testAppId() {
  let client = phone(undefined, 'wxdemo0000000000')
  await client.signIn()
  assert.equal((await client.session()).valid, true)
  client = phone(stored, 'wxother')
  const code = { code: 'any', iv: 'any', encryptedData: 'any' }
  for (const call of [
    () => client.signIn(), () => client.session(), () => client.savePhone('any'), () => client.decrypt(code),
    () => client.deleteAccount(),
  ]) await assert.rejects(call, { status: 400, message: /mini program/ })
}

// A refresh token that may be spent is not sent again: not when the sign-in that follows fails too, nor by a mini program
// that was closed meanwhile.
async function testLostRefresh() {
  let client = phone(await expired())
  ;[fate, noCode] = ['lost', true]
  await assert.rejects(client.account(), /login:fail/)
  assert.equal(client.isSignedIn(), true)
  const closed = refreshes[0].stored // before it knew of any answer
  ;[fate, noCode] = ['', false]
  await client.account()
  client = phone(closed)
  await client.account()
  assert.equal(refreshes.length, 1)
}

// One that the server has not looked at is kept.
async function testLimitedRefresh() {
  const client = phone(await expired())
  fate = 'limited'
  await assert.rejects(client.account(), { status: 429 })
  fate = ''
  await client.account()
  assert.equal(refreshes.length, 2)
  assert.equal(refreshes[0].token, refreshes[1].token)
}

// Whose answer is lost may be deleted: the next call must not sign up anew.
async function testLostDeletion() {
  await expired()
  const client = phone(stored)
  fate = 'lost'
  await assert.rejects(client.deleteAccount(), /timeout/)
  fate = ''
  assert.equal(client.isSignedIn(), false)
  assert.equal(stored, undefined)
}

// Who signs in after signing out does not see the account of before, whatever fails.
async function testIndexPage() {
  await expired()
  let page
  globalThis.getApp = () => ({ minidoor: phone(stored) })
  globalThis.Page = (definition) => { page = { ...definition, setData(data) { Object.assign(page.data, data) } } }
  require('../../examples/miniprogram/pages/index/index.js')
  wx.showToast = () => {}
  await page.reload()
  assert.equal(page.data.user.name, 'wechat-oDemo_alice')
  await page.signOut()
  assert.equal(page.data.signedIn, false)
  fate = 'no account'
  await page.signIn()
  fate = ''
  assert.equal(page.data.signedIn, true)
  assert.equal(page.data.user, null)
}

// Whatever a call is rejected with, the user reads something: wx takes no toast without a title.
async function testToasts() {
  const rejected = [
    new MinidoorError('busy', { status: 503 }), new MinidoorError('request:fail'),
    new MinidoorError('nickName is too long', { status: 400 }), new Error('login:fail'),
    { errMsg: 'setClipboardData:fail api scope is not declared in the privacy agreement', errno: 112 },
  ]
  for (const err of rejected) {
    wx.showToast = ({ title }) => assert.ok(title, JSON.stringify(err))
    toast(err)
  }
}

async function main() {
  const tests = [testCalls, testAppId, testLostRefresh, testLimitedRefresh, testLostDeletion, testIndexPage, testToasts]
  for (const test of tests) await test()
  console.log('done')
}

main().catch((err) => { console.error(err); process.exit(1) })
