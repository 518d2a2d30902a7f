// The start page: signed out, a button; signed in, the account.
const { toast } = require('../../utils/toast.js')
const { minidoor } = getApp()

Page({
  data: { signedIn: false, busy: false, user: null, organization: '' },

  // Also runs on the way back from the profile page, and shows what was saved there.
  onShow() {
    this.setData({ signedIn: minidoor.isSignedIn() })
    if (this.data.signedIn) this.reload()
  },

  // signIn is bound to a tap. wx.login needs no consent, so that one tap is all it takes.
  signIn() {
    return this.run(async () => {
      const { newUser } = await minidoor.signIn()
      await this.load()
      if (newUser) this.editProfile()
    })
  },

  reload() {
    return this.run(() => this.load())
  },

  signOut() {
    return this.run(() => minidoor.signOut())
  },

  // savePhone gets the code of the phone button. Without one the user has refused, or the mini program may not ask:
  // https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/getPhoneNumber.html
  savePhone({ detail }) {
    if (!detail.code) {
      wx.showToast({ icon: 'none', title: detail.errno === 1400001 ? '手机号服务额度不足' : '未授权手机号' })
      return
    }
    this.run(async () => {
      await minidoor.savePhone(detail.code)
      await this.load()
    })
  },

  // checkSession tells whether data that wx encrypts now can be opened, and signs in again where it cannot.
  checkSession() {
    return this.run(async () => {
      const { valid } = await minidoor.session()
      if (!valid) await minidoor.signIn()
      wx.showToast({ icon: 'none', title: valid ? '会话有效' : '会话已过期，已重新登录' })
    })
  },

  exportAccount() {
    return this.run(async () => {
      const data = JSON.stringify(await minidoor.exportAccount(), null, 2)
      await wx.setClipboardData({ data })
    })
  },

  async deleteAccount() {
    const { confirm } = await wx.showModal({
      title: '注销账号', content: '账号和全部资料将被删除，无法恢复。', confirmText: '注销',
    })
    if (confirm) this.run(() => minidoor.deleteAccount())
  },

  editProfile() {
    const { displayName = '', avatar = '' } = this.data.user
    const query = `nickName=${encodeURIComponent(displayName)}&avatarUrl=${encodeURIComponent(avatar)}`
    wx.navigateTo({ url: `/pages/profile/profile?${query}` })
  },

  async load() {
    const { user, organization } = await minidoor.account()
    const { owner, name, id, displayName, avatar, wechat, phone } = user // of 250 fields; setData is slow with many
    this.setData({
      user: { owner, name, id, displayName, avatar, wechat, phone }, organization: organization.displayName,
    })
  },

  // run does one thing at a time, and shows what went wrong.
  async run(action) {
    if (this.data.busy) return
    this.setData({ busy: true })
    try {
      await action()
    } catch (err) {
      toast(err)
    } finally {
      const signedIn = minidoor.isSignedIn()
      this.setData({ busy: false, signedIn, user: signedIn ? this.data.user : null })
    }
  },
})
