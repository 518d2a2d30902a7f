// The client of a minidoor server for WeChat mini programs: signs in by wx.login, keeps the tokens, and sends them with
// every request. It never sees the SessionKey: that stays on the server.

const STORAGE_KEY = 'minidoor.tokens'
const TOKEN_PATH = '/api/login/oauth/access_token'
const REFRESH_PATH = '/api/login/oauth/refresh_token'
const AVATAR_PATH = '/api/mini-program/avatar'
const FORM = 'application/x-www-form-urlencoded'
const MAX_TRIES = 3 // of one call, when the server asks to come back later
const UPLOAD_TIMEOUT = 120000 // milliseconds, as long as the server waits
const MAX_WAIT = 30 // seconds that a call waits before its next try; longer waits are left to the user

// MinidoorError is an answer that is an error, or no answer at all.
//   status      the HTTP status; 0 when there was no answer
//   code        the OAuth error ("invalid_grant", "access_denied", …); empty for other calls
//   retryAfter  seconds after which the server invites a new try; 0 when it does not
class MinidoorError extends Error {
  constructor(message, { status = 0, code = '', retryAfter = 0 } = {}) {
    super(message)
    this.name = 'MinidoorError'
    Object.assign(this, { status, code, retryAfter })
  }
}

// createClient returns the client of one server. Make one for the whole mini program: callers at the same time then
// share one sign-in and one refresh. Every method returns a promise that is rejected with a MinidoorError, or with
// what getCode gave.
//   server        the address, such as "https://login.example.com"
//   clientId      the client id of the Casdoor application
//   appId         this mini program's AppID, where the application has several mini programs
//   getCode       () => Promise of a code; wx.login by default
function createClient({ server, clientId, appId, getCode = loginCode }) {
  const which = appId ? { app_id: appId } : {}
  let tokens = wx.getStorageSync(STORAGE_KEY) || null
  const running = {} // promises of the sign-in and the renewal under way, by name

  function once(name, task) {
    if (!running[name]) {
      const done = () => { delete running[name] }
      running[name] = task()
      running[name].then(done, done)
    }
    return running[name]
  }

  function keep(answer) {
    store(answer && { access: answer.access_token, refresh: answer.refresh_token })
  }

  function store(some) {
    tokens = some
    if (tokens) wx.setStorageSync(STORAGE_KEY, tokens)
    else wx.removeStorageSync(STORAGE_KEY)
  }

  // signIn signs in anew, whatever tokens there are, and resolves to { newUser }. Each try takes a new code, since a
  // code may be spent even when the answer says "later". wx.login is limited: do not call this at every page.
  function signIn() {
    return once('signIn', async () => {
      const answer = await patiently(async () => {
        const code = await getCode()
        return post(TOKEN_PATH, { tag: 'wechat_miniprogram', client_id: clientId, code, ...which })
      }, (err) => err.code === 'invalid_grant')
      keep(answer)
      return { newUser: answer.new_user === true }
    })
  }

  // renew replaces the tokens: by the refresh token, else by a new sign-in. The refresh token is sent once: it may be spent
  // even when the answer says "later", is lost or finds the mini program closed, and sent again it would look like a
  // thief's. So it is forgotten before it is sent.
  function renew() {
    return once('renew', async () => {
      const before = tokens
      if (!before.refresh) return signIn()
      const form = { grant_type: 'refresh_token', refresh_token: before.refresh, client_id: clientId }
      const without = { access: before.access }
      store(without)
      try {
        keep(await post(REFRESH_PATH, form))
      } catch (err) {
        if (err.status === 429) { // comes before the token is looked at
          if (tokens === without) store(before)
          throw err
        }
        await signIn()
      }
    })
  }

  // token throws where the user has signed out since: a call under way must not sign in again.
  function token() {
    if (!tokens) throw new MinidoorError('signed out')
    return tokens.access
  }

  function post(path, form) {
    return send(server + path, { method: 'POST', data: form, header: { 'content-type': FORM } })
  }

  // request calls path on the server as the signed-in user and resolves to the decoded answer. Without tokens it signs
  // in first. When the server does not accept the token, it is renewed and the call repeated, once.
  //   options  method ("GET" by default; wx.request knows no PATCH), data, header, or filePath, name, formData of a
  //            file; once: not repeated when the server asks to come back later, as with a code that may be spent by then
  async function request(path, { once: only = false, ...options } = {}) {
    if (!tokens) await signIn()
    const used = token()
    const transfer = options.filePath ? sendFile : send
    const call = (bearer) => {
      const task = () => transfer(server + path, {
        ...options, header: { ...options.header, Authorization: `Bearer ${bearer}` },
      })
      return only ? task() : patiently(task)
    }
    try {
      return await call(used)
    } catch (err) {
      if (!isTokenError(err)) throw err
      if (token() === used) await renew() // else another call has renewed it already
      return call(token())
    }
  }

  // account resolves to { user, organization }, as Casdoor's get-account gives them.
  async function account() {
    const { data, data2 } = await request('/api/get-account')
    return { user: data, organization: data2 }
  }

  // updateProfile saves the nickname, the avatar or both, in one call, and resolves to { user, avatarPending }. avatarUrl
  // is an https URL, or the temporary file of chooseAvatar ("wxfile://…", in DevTools "http://tmp/…"), which is uploaded.
  // avatarPending is true where the picture is shown only after WeChat has judged it.
  async function updateProfile({ nickName, avatarUrl }) {
    const data = nickName ? { nickName } : {}
    let answer
    if (isLocal(avatarUrl)) {
      answer = await request(AVATAR_PATH, { filePath: avatarUrl, name: 'avatar', formData: data })
    } else {
      if (avatarUrl) data.avatarUrl = avatarUrl
      answer = await request('/api/mini-program/profile', { method: 'POST', data })
    }
    return { user: answer.data, avatarPending: Boolean(answer.data3 && answer.data3.avatarPending) }
  }

  // savePhone stores the phone number of <button open-type="getPhoneNumber"> and resolves to the user. code is the
  // event's detail.code, which works once and is not the one of wx.login.
  async function savePhone(code) {
    const answer = await request('/api/mini-program/phone', { method: 'POST', data: { code, ...which }, once: true })
    return answer.data
  }

  // decrypt has the server open what wx gave encrypted, and resolves to the object in it. Rejected with the code
  // "stale_session" it is too old, or the session is: sign in again, and then get new data from wx.
  //   detail  encryptedData and iv; with a profile rawData and signature too
  async function decrypt({ encryptedData, iv, rawData, signature }) {
    const data = { encryptedData, iv, ...which }
    if (signature) Object.assign(data, { rawData, signature })
    try {
      const answer = await request('/api/mini-program/decrypt', { method: 'POST', data })
      return answer.data
    } catch (err) {
      if (err.status === 400 && /session_key is stale/.test(err.message)) err.code = 'stale_session'
      throw err
    }
  }

  // session resolves to { valid, appId, updatedTime, checkedTime }: whether new encrypted data can be opened.
  async function session() {
    const answer = await request('/api/mini-program/session', { data: which })
    return answer.data
  }

  // exportAccount resolves to all that is stored about the user.
  function exportAccount() {
    return request('/api/mini-program/account/export')
  }

  // deleteAccount deletes the account, with a fresh code as proof, and forgets the tokens. There is no way back. They are
  // forgotten too where there is no answer, here or at a proxy: the account may be gone. The next call signs in, which may
  // be to sign up anew: look at isSignedIn before.
  async function deleteAccount() {
    const code = await getCode()
    try {
      await request('/api/mini-program/account/delete', { method: 'POST', data: { code, ...which }, once: true })
    } catch (err) {
      if ([0, 502, 504].includes(err.status)) keep(null)
      throw err
    }
    keep(null)
  }

  // signOut ends the tokens on the server and forgets them here. They are forgotten even when the server cannot be
  // reached; that is the only thing it rejects with.
  async function signOut() {
    for (const pending of Object.values(running)) await pending.catch(() => {}) // its tokens must end too
    if (!tokens) return
    const hint = { id_token_hint: tokens.access } // a Casdoor behind the server leaves that of a header alive
    keep(null)
    try {
      await post('/api/logout', hint)
    } catch (err) {
      if (!isTokenError(err)) throw err
    }
  }

  return {
    signIn, request, account, updateProfile, savePhone, decrypt, session, exportAccount, deleteAccount, signOut,
    isSignedIn: () => tokens !== null,
  }
}

// patiently repeats task where the server names a time for it (Retry-After on 429 and 503), and where again says so.
async function patiently(task, again = () => false) {
  for (let tries = 1; ; tries++) {
    try {
      return await task()
    } catch (err) {
      const invited = err.retryAfter > 0 && err.retryAfter <= MAX_WAIT
      if (tries >= MAX_TRIES || !(invited || again(err))) throw err
      await pause(err.retryAfter)
    }
  }
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}

// send is wx.request as a promise of the decoded answer. wx.request calls success for every HTTP status, and Casdoor
// answers some errors with 200, so both are looked at.
function send(url, options) {
  return new Promise((resolve, reject) => {
    wx.request({
      ...options,
      url,
      success: (res) => settle(res, res.data, resolve, reject),
      fail: (err) => reject(new MinidoorError(err.errMsg || 'request:fail')),
    })
  })
}

// sendFile is send for wx.uploadFile, which leaves the answer a text.
function sendFile(url, options) {
  return new Promise((resolve, reject) => {
    wx.uploadFile({
      timeout: UPLOAD_TIMEOUT,
      ...options,
      url,
      success: (res) => settle(res, parse(res.data), resolve, reject),
      fail: (err) => reject(new MinidoorError(err.errMsg || 'uploadFile:fail')),
    })
  })
}

// settle takes an answer that is no object, whatever its status, as that of some proxy: nothing has been done.
function settle(res, data, resolve, reject) {
  const isObject = data !== null && typeof data === 'object'
  const body = isObject ? data : {}
  const ok = isObject && res.statusCode >= 200 && res.statusCode < 300 && !body.error && body.status !== 'error'
  if (ok) resolve(body)
  else reject(errorOf(res, body))
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch (err) {
    return null // the page of some proxy
  }
}

function errorOf({ statusCode, header }, body) {
  const message = body.error_description || body.msg || body.error || `HTTP ${statusCode}`
  const later = statusCode === 429 || statusCode === 503
  return new MinidoorError(message, {
    status: statusCode, code: body.error || '', retryAfter: later ? retryAfter(header) : 0,
  })
}

// retryAfter reads the header in seconds. The spelling of header names differs between phones.
function retryAfter(header = {}) {
  const name = Object.keys(header).find((key) => key.toLowerCase() === 'retry-after')
  return (name && parseInt(header[name], 10)) || 0
}

// isTokenError reports whether the server did not accept the token. Casdoor's calls say so with HTTP 200.
function isTokenError(err) {
  return err.status === 401 || (err.status === 200 && /token|please (log|sign) ?in/i.test(err.message))
}

function isLocal(url) {
  return /^(wxfile|http):\/\//.test(url || '')
}

function loginCode() {
  return new Promise((resolve, reject) => {
    wx.login({
      success: ({ code }) => resolve(code),
      fail: (err) => reject(new MinidoorError(err.errMsg || 'login:fail')),
    })
  })
}

// demoCode resolves to a code of the fake WeChat inside `minidoor -demo`, for the user of that name.
async function demoCode(server, user) {
  const options = { method: 'POST', data: { user }, header: { 'content-type': FORM } }
  const { code } = await send(`${server}/demo/code`, options)
  return code
}

module.exports = { createClient, demoCode, MinidoorError }
