// What the console does better with JavaScript: copying, times of the visitor's own zone, following the log, and taking
// a double click for one.

function localTimes(root) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'medium' })
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime)
    if (Number.isNaN(at.getTime())) continue
    time.title = time.textContent
    time.textContent = format.format(at)
  }
}

function copyButtons() {
  if (!navigator.clipboard) return // a page of plain http has none
  for (const button of document.querySelectorAll('button.copy')) {
    const label = button.textContent
    button.hidden = false
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent)
      button.textContent = document.body.dataset.copied
      setTimeout(() => { button.textContent = label }, 2000)
    })
  }
}

const PATIENCE = 30000 // milliseconds that an answer may take on a slow network

// sendOnce keeps a form from being sent twice: the second answer would hide the first, with a new secret in it. The
// buttons show that one is on its way.
function sendOnce() {
  let sent = -Infinity
  document.addEventListener('submit', (event) => {
    if (event.target.method !== 'post') return
    if (event.timeStamp - sent < PATIENCE) event.preventDefault()
    else sent = event.timeStamp
    document.body.dataset.sent = ''
  })
  addEventListener('pageshow', () => { // by the button for the last page
    sent = -Infinity
    delete document.body.dataset.sent
  })
}

const PAUSE = 2000 // milliseconds between two looks at the log
const KEPT = 500 // rows

// follow asks for what is new while the button is pressed and the page is seen.
function follow() {
  const button = document.getElementById('follow')
  if (!button) return
  const rows = document.getElementById('rows')
  const status = document.getElementById('followed')
  const pressed = () => button.getAttribute('aria-pressed') === 'true'
  let following = false // until the button is found not to be pressed: once, however often it is
  button.hidden = false
  button.addEventListener('click', () => {
    button.setAttribute('aria-pressed', String(!pressed()))
    if (!following) look()
  })

  async function look() {
    following = true
    while (pressed()) {
      if (document.visibilityState === 'visible') await ask().catch(() => {}) // a server that is away comes back
      await new Promise((resolve) => setTimeout(resolve, PAUSE))
    }
    following = false
  }

  async function ask() {
    const address = new URL(button.dataset.rows, location.href)
    address.searchParams.set('since', rows.dataset.newest)
    const answer = await fetch(address)
    if (answer.status === 200 && !answer.redirected) {
      insert(await answer.text())
    } else { // signed out, or refused
      button.click()
      location.reload()
    }
  }

  function insert(html) {
    const fragment = document.createElement('template')
    fragment.innerHTML = html
    const fresh = fragment.content.querySelector('tbody')
    rows.dataset.newest = fresh.dataset.newest
    const found = [...fresh.rows].filter((row) => !document.getElementById(row.id))
    if (found.length === 0) return
    document.getElementById('no-rows')?.remove()
    rows.closest('table').hidden = false
    found.forEach((row) => row.classList.add('fresh-row'))
    localTimes(fragment.content)
    rows.prepend(...found)
    while (rows.rows.length > KEPT) rows.rows[rows.rows.length - 1].remove()
    status.textContent = status.dataset.text.replace('%d', found.length)
  }
}

localTimes(document)
copyButtons()
sendOnce()
follow()
