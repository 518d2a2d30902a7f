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

  editProfile() {
    const { displayName = '', avatar = '' } = this.data.user
    const query = `nickName=${encodeURIComponent(displayName)}&avatarUrl=${encodeURIComponent(avatar)}`
    wx.navigateTo({ url: `/pages/profile/profile?${query}` })
  },

  async load() {
    const { user, organization } = await minidoor.account()
    const { owner, name, id, displayName, avatar, wechat } = user // of 250 fields; setData is slow with many
    this.setData({ user: { owner, name, id, displayName, avatar, wechat }, organization: organization.displayName })
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
      this.setData({ busy: false, signedIn: minidoor.isSignedIn() })
    }
  },
})
