-- A real Neovim with a screen, driven over its RPC channel: keys go in as a user types them, what is asked about is
-- what a user would see. The one who drives is a Neovim too, so that no RPC client is needed.
local Editor = {}
Editor.__index = Editor

-- How long anything may take before a test fails, in milliseconds: far above what is normal on a loaded machine.
local PATIENCE = tonumber(vim.env.LACUNA_PATIENCE_MS) or 60000
local POLL = 10

local here = vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2))

--- Starts a Neovim on a file of its own with this text, and waits until the server's model is loaded.
function Editor.open(...)
  local self = Editor.start(...)
  self:wait_for_model()
  return self
end

--- Starts a Neovim on a file of its own with this text; `user` is the configuration, by default that of the manual.
function Editor.start(name, text, options, user)
  local folder = assert(vim.env.LACUNA_TEST_FOLDER)
  vim.fn.mkdir(folder .. '/.git', 'p')
  local path = folder .. '/' .. name
  vim.fn.writefile(vim.split(text, '\n'), path, 'b')
  local command = { vim.env.LACUNA_NVIM, '--embed', '--clean', '-n', '-u', here .. '/' .. (user or 'user.lua'), path }
  local self = setmetatable({}, Editor)
  local encoded = vim.json.encode(options or vim.empty_dict())
  self.channel = vim.fn.jobstart(command, {
    rpc = true,
    env = { LACUNA_TEST_OPTIONS = encoded, XDG_STATE_HOME = folder, XDG_CACHE_HOME = folder },
    on_exit = function(_, code)
      self.exit_code = code
    end,
  })
  assert(self.channel > 0, 'Neovim does not start')
  vim.rpcrequest(self.channel, 'nvim_ui_attach', 120, 40, vim.empty_dict())
  return self
end

function Editor:wait_for_model()
  self:wait('the model', function()
    return self:lua("return vim.iter(seen.status):any(function(it) return it.state == 'ready' end)")
  end)
end

--- Runs Lua in it.
function Editor:lua(code, ...)
  return vim.rpcrequest(self.channel, 'nvim_exec_lua', code, { ... })
end

--- Types, in the notation of mappings: `<Esc>`, `<lt>`.
function Editor:keys(keys)
  vim.rpcrequest(self.channel, 'nvim_input', keys)
end

--- Types text as it is.
function Editor:type(text)
  self:keys((text:gsub('<', '<lt>'):gsub('\n', '<CR>')))
end

--- Waits until `done` gives something, and returns that.
function Editor:wait(what, done)
  local found
  local in_time = vim.wait(PATIENCE, function()
    found = done()
    return found
  end, POLL)
  if not in_time then
    error(('no sign of %s\nscreen:\n%s\nlog:\n%s'):format(what, self:screen(), self:log()))
  end
  return found
end

--- Goes behind the first occurrence of a literal text and into Insert mode.
function Editor:insert_behind(text)
  self:lua([[
    for row, line in ipairs(vim.api.nvim_buf_get_lines(0, 0, -1, true)) do
      local _, column = line:find(..., 1, true)
      if column then
        vim.api.nvim_win_set_cursor(0, { row, column - 1 })
        return
      end
    end
    error('the text is not there')
  ]], text)
  self:keys('a')
end

--- The ghost text: what it says and, counted from 0, where it stands. `nil` while there is none.
function Editor:ghost()
  local marks = self:lua([[
    local space = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
    return vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })
  ]])
  assert(#marks <= 1, 'more than one ghost text')
  if #marks == 0 then
    return nil
  end
  local _, row, column, details = unpack(marks[1])
  local hint
  local rows = { details.virt_text, unpack(details.virt_lines or {}) }
  local lines = vim.iter(rows):map(function(chunks)
    local text = ''
    for _, chunk in ipairs(chunks) do
      if chunk[2] == 'ComplHintMore' then
        hint = chunk[1]
      else
        text = text .. chunk[1]
      end
    end
    return text
  end):totable()
  return { text = table.concat(lines, '\n'), first = lines[1], hint = hint, row = row, column = column }
end

--- Waits for ghost text at the caret.
function Editor:wait_for_ghost()
  return self:wait('ghost text', function()
    local ghost, row, column = self:ghost(), self:caret()
    return ghost and ghost.row == row and ghost.column == column and ghost.text ~= '' and ghost
  end)
end

--- Row and column of the caret, counted from 0, the column in bytes.
function Editor:caret()
  local caret = self:lua('return vim.api.nvim_win_get_cursor(0)')
  return caret[1] - 1, caret[2]
end

--- The lines of the buffer.
function Editor:lines()
  return self:lua('return vim.api.nvim_buf_get_lines(0, 0, -1, true)')
end

--- Waits until the buffer holds these lines.
function Editor:wait_for_lines(expected)
  self:wait('the lines ' .. vim.inspect(expected), function()
    return vim.deep_equal(self:lines(), expected)
  end)
end

--- The text of the buffer.
function Editor:text()
  return table.concat(self:lines(), '\n')
end

--- What the screen shows, virtual text included.
function Editor:screen()
  return self:lua([[
    vim.cmd.redraw()
    local lines = {}
    for row = 1, vim.o.lines do
      local cells = {}
      for column = 1, vim.o.columns do
        cells[column] = vim.fn.screenstring(row, column)
      end
      lines[row] = table.concat(cells):gsub('%s+$', '')
    end
    return table.concat(lines, '\n')
  ]])
end

--- Asks the server something as the client of this buffer; fails on an error.
function Editor:request(method, params)
  return self:lua([[
    local client = assert(vim.lsp.get_clients({ name = 'lacuna' })[1], 'no server')
    local answer = assert(client:request_sync(..., select(2, ...), 60000, vim.api.nvim_get_current_buf()))
    assert(not answer.err, vim.inspect(answer.err))
    return answer.result
  ]], method, params)
end

--- How many requests for inline completions have been answered.
function Editor:answered()
  return self:lua('return seen.answered')
end

--- How many have been sent.
function Editor:asked()
  return self:lua('return seen.asked')
end

--- From here on, counts the times that the screen is drawn without the ghost text.
function Editor:watch_for_flicker()
  self:lua([[
    local space = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
    seen.flickers = 0
    vim.api.nvim_set_decoration_provider(vim.api.nvim_create_namespace('watch'), {
      on_win = function(_, _, buffer)
        local marks = vim.api.nvim_buf_get_extmarks(buffer, space, 0, -1, {})
        seen.flickers = seen.flickers + (#marks == 0 and 1 or 0)
      end,
    })
  ]])
end

--- How often it was.
function Editor:flickers()
  return self:lua('return seen.flickers')
end

--- Runs a command of the server.
function Editor:command(name, arguments)
  return self:request('workspace/executeCommand', { command = name, arguments = arguments or {} })
end

--- The server's counters.
function Editor:counters()
  return self:command('lacuna.status').counters
end

--- What Neovim's log of language servers holds; the server's own log is in it, as it goes to standard error.
function Editor:log()
  local path = self:lua('return vim.lsp.log.get_filename()')
  return vim.fn.filereadable(path) == 1 and table.concat(vim.fn.readfile(path), '\n') or ''
end

--- The errors in it. Neovim calls everything on standard error one: of the server's lines, its own level counts.
function Editor:logged_errors()
  return vim.iter(vim.split(self:log(), '\n')):filter(function(line)
    return line:find('[ERROR]', 1, true) and not line:find('"stderr"%s+\'[%d:.TZ-]+%s+INFO ')
  end):totable()
end

--- Fails unless the server believes of the document what the buffer holds.
function Editor:assert_in_step()
  local uri = self:lua('return vim.uri_from_bufnr(0)')
  local believed = self:request('lacuna/document', { uri = uri })
  local line_end = self:lua("return vim.bo.fileformat == 'dos' and '\\r\\n' or '\\n'")
  local ours = table.concat(self:lines(), line_end) .. (self:lua('return vim.bo.endofline') and line_end or '')
  assert(believed.text == ours, ('the server holds\n%s\nthe buffer\n%s'):format(believed.text, ours))
end

--- What was said to the user so far.
function Editor:messages()
  return self:lua("return vim.api.nvim_exec2('messages', { output = true }).output")
end

--- Leaves Neovim as a user does; fails unless it ends by itself, cleanly, without a word in its log.
function Editor:quit()
  self:assert_in_step()
  local messages = self:messages()
  assert(not messages:find('E%d+:') and not messages:find('[Ee]rror'), messages)
  assert(#self:logged_errors() == 0, self:log())
  self:keys('<Esc>:qa!<CR>')
  self:wait_for_end()
  assert(self.exit_code == 0, 'Neovim ended with ' .. self.exit_code)
end

function Editor:wait_for_end()
  assert(vim.wait(PATIENCE, function()
    return self.exit_code ~= nil
  end, POLL), 'Neovim does not end')
end

return Editor
