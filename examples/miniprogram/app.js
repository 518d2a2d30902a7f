const minidoor = require('./utils/minidoor.js')

App({
  minidoor: minidoor.createClient({
    // The address of the minidoor server, as it is listed under "request 合法域名" and
    // "uploadFile 合法域名": https, no trailing slash.
    server: 'https://login.example.com',
    // The client id of the application in Casdoor. It is no secret; the AppSecret belongs on the server alone.
    clientId: 'your-client-id',
    // appId: wx.getAccountInfoSync().miniProgram.appId, // where the application has several mini programs

    // Against `minidoor -demo`, whose fake WeChat knows no real code:
    // getCode: () => minidoor.demoCode('http://127.0.0.1:8000', 'alice'),
  }),
})
