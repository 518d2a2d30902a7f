// The profile page: WeChat gives nobody the user's nickname and avatar, so the user fills both in.
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/userProfile.html
const { toast } = require('../../utils/toast.js')
const { minidoor } = getApp()

Page({
  data: { nickName: '', avatarUrl: '', chosen: false, busy: false },

  onLoad({ nickName = '', avatarUrl = '' }) {
    this.setData({ nickName: decodeURIComponent(nickName), avatarUrl: decodeURIComponent(avatarUrl) })
    this.askConsent()
  },

  // askConsent has WeChat ask for the privacy agreement now. Without it, type="nickname" would silently be a plain
  // input. Base library 2.32.3 and later.
  askConsent() {
    if (!wx.requirePrivacyAuthorize) return
    wx.requirePrivacyAuthorize({
      fail: () => wx.showToast({ icon: 'none', title: '未同意隐私协议，仍可手动填写昵称' }),
    })
  },

  // chooseAvatar gets a temporary file ("wxfile://…", in the DevTools "http://tmp/…"), gone when the program ends.
  chooseAvatar({ detail }) {
    if (detail.avatarUrl) this.setData({ avatarUrl: detail.avatarUrl, chosen: true })
  },

  // WeChat has checked the nickname (base library 2.29.1) and empties the input when it refuses it.
  nicknameReviewed({ detail }) {
    if (!detail.pass && !detail.timeout) wx.showToast({ icon: 'none', title: '昵称未通过审核，请换一个' })
  },

  // save reads the nickname from the form: one picked above the keyboard does not always fire an input event.
  async save({ detail }) {
    const nickName = detail.value.nickName.trim()
    if (!nickName) {
      wx.showToast({ icon: 'none', title: '请填写昵称' })
      return
    }
    if (this.data.busy) return
    this.setData({ busy: true })
    try {
      const avatarUrl = this.data.chosen ? this.data.avatarUrl : ''
      const { avatarPending } = await minidoor.updateProfile({ nickName, avatarUrl })
      await wx.navigateBack()
      if (avatarPending) wx.showToast({ icon: 'none', title: '头像审核通过后显示' })
    } catch (err) {
      toast(err)
    } finally {
      this.setData({ busy: false })
    }
  },
})
