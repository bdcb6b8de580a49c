-- The server beside the editor: its state, its switches, its end.
local Editor = require('editor')
local ghosts = require('ghosts')
local texts = require('texts')
local cases = {}

function cases.status()
  local editor = ghosts.open()
  local function states()
    return editor:lua('return vim.tbl_map(function(it) return it.state end, seen.status)')
  end
  editor:wait('busy and ready again', function()
    local seen = states()
    return vim.list_contains(seen, 'busy') and seen[#seen] == 'ready'
  end)
  assert(states()[1] == 'starting', vim.inspect(states()))
  local last = editor:lua('return seen.status[#seen.status]')
  assert(vim.deep_equal(last.model, editor:command('lacuna.status').model) and last.message ~= '', vim.inspect(last))
  editor:quit()
end

function cases.toggle()
  local editor = Editor.open('point.rs', texts.RUST)
  assert(editor:command('lacuna.toggle').enabled == false)
  local answered = editor:answered()
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  editor:wait('the answer while it is off', function()
    return editor:answered() > answered
  end)
  assert(not editor:ghost() and editor:counters().inferencesStarted == 0, vim.inspect(editor:counters()))
  editor:wait('the word that it is off', function()
    return editor:lua('return seen.status[#seen.status].state') == 'disabled'
  end)
  assert(editor:command('lacuna.toggle').enabled == true)
  editor:type('s')
  editor:wait_for_ghost()
  editor:quit()
end

function cases.restart()
  local editor = Editor.open('point.rs', texts.RUST)
  editor:command('lacuna.restartEngine')
  editor:wait('the model once more', function()
    local restarted = "return vim.iter(seen.status):filter(function(it) return it.state == 'starting' end):totable()[2]"
    return editor:lua(restarted)
      and editor:command('lacuna.status').state == 'ready'
  end)
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  editor:wait_for_ghost()
  editor:quit()
end

-- Settings of the editor, changed while the server runs.
function cases.settings()
  local editor = Editor.open('point.rs', texts.RUST)
  local function set(settings)
    editor:lua([[
      local client = vim.lsp.get_clients({ name = 'lacuna' })[1]
      client.settings = { lacuna = ... }
      client:notify('workspace/didChangeConfiguration', { settings = client.settings })
    ]], settings)
  end
  set({ languages = { rust = false } })
  editor:insert_behind('Point::new(self.x - other.x')
  for _, text in ipairs({ ',', ' ', ' ' }) do
    local answered = editor:answered()
    editor:type(text)
    editor:wait('an answer', function()
      return editor:answered() > answered
    end)
    assert(not editor:ghost())
  end
  assert(editor:counters().inferencesStarted == 0, vim.inspect(editor:counters()))
  set({ languages = { rust = true } })
  editor:keys('<BS>')
  editor:wait_for_ghost()
  editor:quit()
end

-- As it is when Neovim crashes: the server must not live on. Who records its traffic sees its end.
function cases.killed()
  local editor = ghosts.open()
  vim.uv.kill(editor:lua('return vim.uv.os_getpid()'), 'sigkill')
  editor:wait_for_end()
end

return cases
