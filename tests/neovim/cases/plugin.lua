-- The plugin's commands, its health check, its help, and what it says when something is missing.
local Editor = require('editor')
local texts = require('texts')
local cases = {}

local function open(name, text, options)
  return Editor.open(name, text, options, 'plugin_user.lua')
end

local function wait_for_message(editor, text)
  editor:wait('the message ' .. text, function()
    return editor:messages():find(text, 1, true)
  end)
end

local function type_and_wait_for_the_answer(editor, text)
  local answered = editor:answered()
  editor:type(text)
  editor:wait('an answer', function()
    return editor:answered() > answered
  end)
end

function cases.plugin_toggles()
  local editor = open('point.rs', texts.RUST)
  editor:keys(':Lacuna toggle<CR>')
  wait_for_message(editor, 'Lacuna is off')
  editor:insert_behind('Point::new(self.x - other.x')
  type_and_wait_for_the_answer(editor, ', ')
  assert(not editor:ghost() and editor:counters().inferencesStarted == 0, vim.inspect(editor:counters()))
  assert(editor:lua("return require('lacuna').statusline()") == 'lacuna disabled')
  editor:keys('<Esc>:Lacuna toggle<CR>')
  wait_for_message(editor, 'Lacuna is on')
  editor:keys(':Lacuna toggle rust<CR>')
  wait_for_message(editor, 'Lacuna is off for rust')
  editor:keys('a')
  type_and_wait_for_the_answer(editor, ' ')
  assert(not editor:ghost() and editor:counters().inferencesStarted == 0, vim.inspect(editor:counters()))
  editor:keys('<Esc>:Lacuna toggle rust<CR>')
  wait_for_message(editor, 'Lacuna is on for rust')
  editor:keys('a<BS>')
  editor:wait_for_ghost()
  editor:quit()
end

function cases.plugin_refines_a_selection()
  local editor = open('point.rs', texts.RUST, { setup = { settings = { refineStrength = 1 } } })
  local before = editor:counters()
  editor:insert_behind('Self { x')
  editor:keys('<Esc>V:Lacuna refine<CR>')
  editor:wait('the end of the inference', function()
    return editor:counters().inferencesFinished == before.inferencesFinished + 1
  end)
  editor:wait('ready again', function()
    return editor:lua("return require('lacuna').statusline()") == 'lacuna ready'
  end)
  local outside = texts.around(editor:text() .. '\n', 'f64) -> Self {', '\n    }\n\n    /// The sum')
  assert(outside == texts.around(texts.RUST, 'f64) -> Self {', '\n    }\n\n    /// The sum'), editor:text())
  editor:lua("vim.cmd('messages clear')") -- that nothing better was found is no failure
  editor:quit()
end

-- The script's text takes the place of the selection, to the last byte of its last character.
function cases.plugin_fills_a_selection()
  local editor = open('max.rs', '// ü\nfn a() { größe🦀 }\n')
  editor:insert_behind('{ ')
  editor:keys('<Esc>wve')
  editor:keys('l:Lacuna fill<CR>')
  editor:wait_for_lines({ '// ü', 'fn a() { 1 + 2 }' })
  editor:quit()
end

-- Without a selection, the marker at the caret; frames show while it condenses, at the marker, and are gone afterwards.
function cases.plugin_shows_frames()
  local editor = open('max.rs', texts.MARKED, { setup = { frames = true } })
  editor:lua([[
    local space = vim.api.nvim_create_namespace('lacuna.frames')
    seen.frames = {}
    vim.api.nvim_set_decoration_provider(vim.api.nvim_create_namespace('watch'), {
      on_win = function(_, _, buf)
        vim.list_extend(seen.frames, vim.api.nvim_buf_get_extmarks(buf, space, 0, -1, { details = true }))
      end,
    })
  ]])
  editor:insert_behind('‹')
  editor:keys('<Esc>:Lacuna fill<CR>')
  editor:wait('the filled marker', function()
    return not editor:text():find('‹', 1, true)
  end)
  local frames = editor:lua('return seen.frames')
  assert(#frames > 1, 'no frames')
  for _, frame in ipairs(frames) do
    local shown = ''
    for _, chunk in ipairs(frame[4].virt_text) do
      shown = shown .. chunk[1]
    end
    assert(frame[2] == 2 and shown ~= '', vim.inspect(frame))
  end
  editor:wait('the end of the frames', function()
    local left = "return vim.api.nvim_buf_get_extmarks(0, vim.api.nvim_create_namespace('lacuna.frames'), 0, -1, {})"
    return #editor:lua(left) == 0
  end)
  editor:quit()
end

function cases.plugin_tells_its_state()
  local editor = open('point.rs', texts.RUST)
  editor:keys(':Lacuna status<CR>')
  wait_for_message(editor, 'Lacuna: ready: ')
  assert(editor:lua('return vim.g.lacuna_status.state') == 'ready')
  assert(editor:lua("return table.concat(vim.fn.getcompletion('Lacuna re', 'cmdline'), ' ')") == 'refine restart')
  assert(editor:lua("return vim.fn.getcompletion('Lacuna toggle py', 'cmdline')[1]") == 'python')
  editor:lua("vim.cmd('messages clear')")
  editor:keys(':Lacuna restart<CR>')
  wait_for_message(editor, 'Lacuna: ready: ') -- that it is done
  editor:wait('the model once more', function()
    return editor:lua("return #vim.tbl_filter(function(it) return it.state == 'ready' end, seen.status)") > 1
  end)
  editor:keys(':Lacuna log<CR>')
  editor:wait('the log', function()
    return editor:lua('return vim.api.nvim_buf_get_name(0) == vim.lsp.log.get_filename()')
  end)
  editor:keys(':tabclose<CR>')
  editor:keys(':Lacuna nonsense<CR>')
  wait_for_message(editor, 'one of fill, log, refine, restart, status, toggle?')
  editor:quit()
end

local function check_health(editor)
  editor:keys('<Esc>:checkhealth lacuna<CR>')
  local report = editor:wait('the report', function()
    return editor:lua('return vim.bo.filetype') == 'checkhealth' and #editor:lines() > 3 and editor:text()
  end)
  editor:keys(':bwipeout<CR>')
  editor:wait('the file', function()
    return editor:lua('return vim.bo.filetype') == 'rust'
  end)
  return report
end

function cases.plugin_is_healthy()
  local editor = open('point.rs', texts.RUST)
  local report = check_health(editor)
  assert(not report:find('ERROR', 1, true) and not report:find('WARNING', 1, true), report)
  for _, part in ipairs({ 'bin/lacuna: lacuna %d', 'ready: ', 'Model: built%-in on', 'Neovim 0%.%d+' }) do
    assert(report:find(part), report)
  end
  editor:keys(':Lacuna toggle<CR>')
  wait_for_message(editor, 'Lacuna is off')
  report = check_health(editor)
  assert(report:find('WARNING disabled: ', 1, true) and report:find(':Lacuna toggle', 1, true), report)
  editor:quit()
end

-- Without a server, one message that says what to do; once that is done, the next file has it.
function cases.plugin_without_a_server()
  local editor = Editor.start('point.rs', texts.RUST, { not_installed = true }, 'plugin_user.lua')
  wait_for_message(editor, 'Lacuna: `lacuna` is not there. Install it, or set cmd: see :checkhealth lacuna')
  editor:keys(':e!<CR>:Lacuna status<CR>')
  wait_for_message(editor, 'no server runs')
  assert(select(2, editor:messages():gsub('is not there', '')) == 1, editor:messages())
  local report = check_health(editor)
  assert(report:find('ERROR No server', 1, true) and report:find('cargo install', 1, true), report)
  editor:lua('install()')
  editor:keys(':e!<CR>')
  editor:wait_for_model()
  editor:assert_in_step()
  editor:keys(':qa!<CR>') -- not as elsewhere: Neovim logs that there was no server
  editor:wait_for_end()
end

-- A model that cannot be loaded: its reason is said without being asked for, and again by the health check.
function cases.plugin_without_a_model()
  local editor = Editor.start('point.rs', texts.RUST, nil, 'plugin_user.lua')
  wait_for_message(editor, 'Lacuna: ')
  assert(editor:messages():find('there is no such model', 1, true), editor:messages())
  assert(editor:lua("return require('lacuna').statusline()") == 'lacuna error')
  editor:lua("vim.cmd('messages clear')")
  editor:insert_behind('Point::new(self.x - other.x')
  editor:keys('<M-Bslash>')
  wait_for_message(editor, 'there is no such model') -- whoever asks is told
  local report = check_health(editor)
  assert(report:find('ERROR [^\n]*there is no such model') and report:find(':Lacuna log', 1, true), report)
  editor:assert_in_step()
  editor:keys(':qa!<CR>') -- not as elsewhere: the failure is in the log
  editor:wait_for_end()
end

-- A file elsewhere, outside of any project, is served by the same process: a second one is a second model in memory.
function cases.plugin_has_one_server()
  local editor = open('point.rs', texts.RUST)
  local other = vim.fn.tempname()
  vim.fn.mkdir(other .. '/.git', 'p')
  for _, path in ipairs({ vim.fn.tempname() .. '.rs', other .. '/main.rs' }) do
    vim.fn.writefile({ 'fn main() {', '}' }, path)
    editor:keys('<Esc>:e ' .. path .. '<CR>')
    editor:wait('the server', function()
      return editor:lua("return #vim.lsp.get_clients({ name = 'lacuna', bufnr = 0 })") == 1
    end)
    editor:assert_in_step()
  end
  local again = other .. '/again.rs' -- of a folder that is known
  vim.fn.writefile({ 'fn again() {', '}' }, again)
  editor:lua("vim.cmd('messages clear')")
  editor:lua("vim.cmd('silent edit ' .. ...)", again)
  editor:wait('the server', function()
    return editor:lua("return #vim.lsp.get_clients({ name = 'lacuna', bufnr = 0 })") == 1
  end)
  editor:assert_in_step()
  assert(editor:messages() == '', 'said for no reason: ' .. editor:messages())
  assert(editor:lua("return #vim.lsp.get_clients({ name = 'lacuna' })") == 1, 'more than one server')
  local folders = editor:lua("return vim.lsp.get_clients({ name = 'lacuna' })[1].workspace_folders")
  assert(#folders == 2 and vim.iter(folders):any(function(it) return it.name == other end), vim.inspect(folders))
  editor:quit()
end

-- Two projects at once, as a restored session opens them: the second one's file comes while the server starts.
function cases.plugin_knows_the_folders_of_its_start()
  local editor = Editor.start('point.rs', texts.RUST, nil, 'plugin_user.lua')
  local other = vim.fn.tempname()
  vim.fn.mkdir(other .. '/.git', 'p')
  vim.fn.writefile({ 'fn main() {', '}' }, other .. '/main.rs')
  local is_early = editor:lua([[
    vim.cmd('silent edit ' .. ...)
    local client = vim.lsp.get_clients({ name = 'lacuna', _uninitialized = true })[1]
    return client ~= nil and not client.initialized
  ]], other .. '/main.rs')
  assert(is_early, 'the server was there before the second file')
  editor:wait_for_model()
  editor:wait('the second folder', function()
    local folders = editor:lua("return vim.lsp.get_clients({ name = 'lacuna' })[1].workspace_folders")
    return #folders == 2 and vim.iter(folders):any(function(it) return it.name == other end)
  end)
  editor:quit()
end

-- A server that ends without being asked to: a command says what starts it again, and does.
function cases.plugin_starts_a_server_again()
  local editor = open('point.rs', texts.RUST)
  local id = editor:lua("return vim.lsp.get_clients({ name = 'lacuna' })[1].id")
  editor:lua("vim.lsp.get_clients({ name = 'lacuna' })[1]:stop(true)")
  editor:wait('its end', function()
    return editor:lua("return #vim.lsp.get_clients({ name = 'lacuna' })") == 0
  end)
  editor:keys(':Lacuna fill<CR>')
  wait_for_message(editor, 'no server runs; :Lacuna restart starts it')
  local report = check_health(editor)
  assert(report:find('WARNING No server runs', 1, true) and report:find(':Lacuna restart starts it', 1, true), report)
  editor:lua("vim.cmd('messages clear')")
  editor:keys(':Lacuna restart<CR>')
  wait_for_message(editor, 'Lacuna: ready: ')
  assert(editor:lua("return vim.lsp.get_clients({ name = 'lacuna', bufnr = 0 })[1].id") ~= id)
  editor:assert_in_step()
  editor:quit()
end

-- In a buffer that the server does not have, a command says so, and where it works.
function cases.plugin_in_another_buffer()
  local editor = open('point.rs', texts.RUST)
  editor:keys('<Esc>:enew<CR>')
  editor:keys(':Lacuna fill<CR>')
  wait_for_message(editor, 'Lacuna: it does not work in this buffer, but in the file types rust, python')
  editor:keys(':Lacuna<CR>')
  wait_for_message(editor, 'Lacuna: ready: ')
  assert(editor:messages():find('(not in this buffer: it works in rust, python)', 1, true), editor:messages())
  editor:keys(':bprevious<CR>')
  editor:quit()
end

-- As before Neovim 0.12: the proposal is an item of the completion menu.
function cases.plugin_without_inline_completion()
  local editor = open('point.rs', texts.RUST, { before_0_12 = true })
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  local before = editor:text()
  editor:keys('<C-x><C-o>')
  local after = editor:wait('the proposal', function()
    return editor:text() ~= before and editor:text()
  end)
  assert(editor:counters().inferencesFinished > 0, vim.inspect(editor:counters()))
  assert(vim.startswith(after, texts.RUST:match('.*other%.x\n'):sub(1, -2) .. ', '), after)
  assert(not editor:ghost(), 'ghost text too')
  editor:quit()
end

function cases.plugin_has_help()
  local editor = open('point.rs', texts.RUST)
  local left = editor:lua([[
    local plugin = vim.api.nvim_get_runtime_file('doc/lacuna.txt', true)[1]
    local copy = vim.fn.tempname()
    vim.fn.mkdir(copy, 'p')
    assert(vim.uv.fs_copyfile(plugin, copy .. '/lacuna.txt'))
    vim.cmd.helptags(copy)
    local made, shipped = vim.fn.readfile(copy .. '/tags'), vim.fn.readfile(vim.fs.dirname(plugin) .. '/tags')
    assert(vim.deep_equal(made, shipped), 'doc/tags is not that of doc/lacuna.txt: run :helptags there')
    local text = table.concat(vim.fn.readfile(plugin), '\n')
    local wanted = { 'lacuna', 'lacuna.txt', ':Lacuna', 'lacuna-setup', 'g:lacuna_status' }
    for link in text:gmatch('|(%S-)|') do
      table.insert(wanted, link)
    end
    return vim.iter(wanted):filter(function(tag) return not pcall(vim.cmd.help, tag) end):totable()
  ]])
  assert(#left == 0, 'no help on ' .. table.concat(left, ', '))
  editor:keys(':helpclose<CR>')
  editor:wait('the file', function()
    return editor:lua('return vim.bo.filetype') == 'rust'
  end)
  editor:quit()
end

return cases
