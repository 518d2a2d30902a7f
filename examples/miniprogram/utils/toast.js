// toast shows what went wrong, in words for the user. err is what a call of minidoor or wx was rejected with.
function toast(err) {
  wx.showToast({ icon: 'none', duration: 3000, title: textOf(err) })
}

function textOf(err) {
  if (err.code === 'access_denied') return '无法登录，请联系客服'
  if (err.status === 0) return '网络不可用，请稍后再试'
  if (err.status === 429 || err.status >= 500) return '服务繁忙，请稍后再试'
  return err.message || '微信未允许此操作' // wx itself rejects with an errMsg, which is for developers
}

module.exports = { toast }
