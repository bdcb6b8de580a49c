-- `:Lacuna` and its subcommands.
local M, run, names = {}, {}, { 'fill', 'log', 'refine', 'restart', 'status', 'toggle' }

-- Runs a command of the server; its answer goes to `done`, what stands against it to the user.
local function execute(client, command, arguments, done)
  client:exec_cmd({ title = command, command = command, arguments = arguments }, { bufnr = 0 }, function(err, answer)
    local against = err and err.message or type(answer) == 'table' and answer.reason
    if against then return vim.notify('Lacuna: ' .. against, vim.log.levels.WARN) end
    if done then done(answer) end
  end)
end

-- The argument: the selection where it has the lines of the command, else those lines; the caret where it has none.
local function place(client, call)
  local function at(row, byte)
    local line = vim.fn.getline(row)
    return { line = row - 1, character = vim.str_utfindex(line, client.offset_encoding, math.min(byte, #line), false) }
  end
  local from, to = vim.api.nvim_buf_get_mark(0, '<'), vim.api.nvim_buf_get_mark(0, '>')
  if call.range < 2 or from[1] ~= call.line1 or to[1] ~= call.line2 then
    from, to = { call.line1, 0 }, { call.line2, vim.v.maxcol }
  elseif to[2] < #vim.fn.getline(to[1]) and vim.o.selection ~= 'exclusive' then
    to[2] = to[2] + vim.str_utf_end(vim.fn.getline(to[1]), to[2] + 1) + 1 -- behind the last character
  end
  local argument = { uri = vim.uri_from_bufnr(0), version = vim.lsp.util.buf_versions[vim.fn.bufnr()] }
  local is_caret = call.range == 0 and call.fargs[1] == 'fill'
  argument.position = is_caret and at(unpack(vim.api.nvim_win_get_cursor(0))) or nil
  argument.range = not is_caret and { start = at(unpack(from)), ['end'] = at(unpack(to)) } or nil
  return { argument }
end

function run.fill(client, call) execute(client, 'lacuna.fill', place(client, call)) end
function run.refine(client, call) execute(client, 'lacuna.refine', place(client, call)) end
function run.restart(client)
  require('lacuna').tells_ready = true
  if client then return execute(client, 'lacuna.restartEngine', {}) end
  vim.lsp.enable('lacuna', false) -- Neovim starts a server that has ended with the next file only
  vim.lsp.enable('lacuna')
end
function run.log()
  local path = vim.lsp.log.get_filename()
  vim.cmd.tabnew(vim.fn.fnameescape(path))
  if vim.fn.filereadable(path) == 0 then vim.notify('Lacuna: nothing has been logged yet') end
end
function run.toggle(client, call)
  local language = call.fargs[2]
  execute(client, 'lacuna.toggle', { { language = language, uri = vim.uri_from_bufnr(0) } }, function(it)
    vim.notify('Lacuna is ' .. (it.enabled and 'on' or 'off') .. (language and ' for ' .. language or ''))
  end)
end
local function filetypes() return table.concat(vim.lsp.config.lacuna.filetypes, ', ') end
function run.status(client)
  local here = vim.lsp.buf_is_attached(0, client.id) and '' or ' (not in this buffer: it works in ' .. filetypes() .. ')'
  execute(client, 'lacuna.status', {}, function(it) vim.notify('Lacuna: ' .. it.message .. here) end)
end

function M.run(call)
  local here, subcommand = vim.lsp.get_clients({ name = 'lacuna', bufnr = 0 })[1], run[call.fargs[1] or 'status']
  local client = here or vim.lsp.get_clients({ name = 'lacuna' })[1]
  local needs_buffer = subcommand == run.fill or subcommand == run.refine
  local needs_server = subcommand ~= run.log and subcommand ~= run.restart
  local against = not subcommand and 'one of ' .. table.concat(names, ', ') .. '?'
    or not client and needs_server and 'no server runs; :Lacuna restart starts it, :checkhealth lacuna says more'
    or needs_buffer and not here and 'it does not work in this buffer, but in the file types ' .. filetypes()
  if against then return vim.notify('Lacuna: ' .. against, vim.log.levels.WARN) end
  subcommand(client, call)
end

function M.complete(lead, line)
  local words = line:find('Lacuna%s+toggle%s') and vim.lsp.config.lacuna.filetypes or names
  return vim.iter(words):filter(function(it) return vim.startswith(it, lead) end):totable()
end

return M
