const minidoor = require('./utils/minidoor.js')

App({
  minidoor: minidoor.createClient({
    // The address of the minidoor server, as it is listed under "request 合法域名": https, no trailing slash.
    server: 'https://login.example.com',
    // The client id of the application in Casdoor. It is no secret; the AppSecret belongs on the server alone.
    clientId: 'your-client-id',

    // Stores a chosen avatar and returns its https URL. Without it only the nickname is saved; see README.md.
    // uploadAvatar: (filePath) => uploadToYourStorage(filePath),

    // Against `minidoor -demo`, whose fake WeChat knows no real code:
    // getCode: () => minidoor.demoCode('http://127.0.0.1:8000', 'alice'),
  }),
})
