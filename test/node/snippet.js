// Calls the code that the console shows for mini programs, in minidoor.js, with answers as wx hands them on.
const assert = require('node:assert/strict')

let answer // of the server, as wx hands it on
let sent // what was asked for

const answering = (options) => { sent = options; options.success(answer) }
globalThis.wx = { request: answering, uploadFile: answering, getStorageSync: () => ({ access_token: 'token' }) }
const { saveProfile } = require('./minidoor.js')

const user = { status: 'ok', data: { displayName: 'n' }, data3: { avatarPending: true } }
const denied = { status: 'error', msg: 'no' }

async function main() {
  answer = { statusCode: 200, data: user }
  assert.deepEqual(await saveProfile('n'), user)
  assert.deepEqual(sent.data, { nickName: 'n' })
  answer = { statusCode: 200, data: JSON.stringify(user) } // an upload's answer is a text
  assert.deepEqual(await saveProfile('', 'wxfile://a'), user)
  assert.deepEqual(sent.formData, {})
  assert.equal(sent.header.Authorization, 'Bearer token')
  answer.statusCode = 202 // saved, and the picture waits
  assert.deepEqual(await saveProfile('n', 'wxfile://a'), user)

  answer = { statusCode: 400, data: JSON.stringify(denied) }
  await assert.rejects(saveProfile('n', 'wxfile://a'), (err) => err.statusCode === 400 && err.msg === 'no')
  answer = { statusCode: 401, data: denied }
  await assert.rejects(saveProfile('n'), (err) => err.statusCode === 401)
  answer = { statusCode: 200, data: '<html>' }
  await assert.rejects(saveProfile('n'), (err) => err.statusCode === 200)
  console.log('done')
}

main().catch((err) => { console.error(err); process.exit(1) })
