-- What a user configures and calls: setup, acceptance of ghost text, the state for a status line.
local M, waiting, keymap = {}, {}, {
  accept = '<M-CR>', accept_word = '<M-Right>', accept_line = '<M-C-Right>', next = '<M-]>', prev = '<M-[>',
  ask = '<M-Bslash>', dismiss = '<C-]>',
}

-- What Neovim knows of the buffer's ghost text. It has no call for it; where this changes, what needs it does nothing.
local function ghost_here()
  local _, ghost = pcall(function() return vim.lsp._capability.all.inline_completion.active[vim.fn.bufnr()] end)
  return type(ghost) == 'table' and ghost or nil
end

-- Says once that a file could be served and no server is there; Neovim itself is silent about that.
local function check_server()
  local config = vim.lsp.config.lacuna
  local is_missing = type(config.cmd) == 'table' and vim.fn.executable(config.cmd[1]) == 0
  if is_missing and vim.list_contains(config.filetypes, vim.bo.filetype) then
    local text = ('Lacuna: `%s` is not there. Install it, or set cmd: see :checkhealth lacuna'):format(config.cmd[1])
    vim.schedule(function() vim.notify_once(text, vim.log.levels.ERROR) end)
  end
end

--- Starts the server with the buffers of its file types; `:h lacuna-setup` has the options.
function M.setup(options)
  options = options or {}
  keymap = options.keymap == false and {} or vim.tbl_extend('force', keymap, options.keymap or {})
  local settings = vim.tbl_extend('force', vim.empty_dict(), { frames = options.frames }, options.settings or {})
  vim.lsp.config('lacuna', {
    cmd = options.cmd, filetypes = options.filetypes, init_options = settings, settings = { lacuna = settings },
  })
  vim.lsp.enable('lacuna')
  vim.api.nvim_create_autocmd('FileType', { callback = check_server })
  check_server()
end

-- Inserts what `pattern` matches at the front of the item's text behind the caret, and offers the rest.
local function insert(item, pattern)
  if vim.lsp.get_client_by_id(item.client_id).name ~= 'lacuna' then return item end -- Neovim accepts it
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local range = { item.range:to_extmark() }
  local typed = vim.api.nvim_get_current_line():sub(range[2] + 1, column)
  if row ~= range[1] + 1 or not vim.startswith(item.insert_text, typed) then return end
  local rest = item.insert_text:sub(#typed + 1)
  local part = vim.fn.matchstr(rest, '^\\%(' .. pattern .. '\\)')
  local replaced = math.max(range[4] - column, 0) -- of the line behind the caret; goes with the last part
  local lines = vim.split(part, '\n')
  vim.api.nvim_buf_set_text(0, row - 1, column, row - 1, column + (part == rest and replaced or 0), lines)
  row, column = row + #lines - 1, (#lines == 1 and column or 0) + #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row, column })
  if part ~= rest then
    item.insert_text, item.range = rest:sub(#part + 1), vim.range(0, row - 1, column, row - 1, column + replaced)
    pcall(function() -- else the rest comes when the server answers
      local ghost = ghost_here()
      ghost.current = item
      ghost:show()
    end)
  end
end

local function take(pattern)
  return vim.lsp.inline_completion.get({ on_accept = function(item) return insert(item, pattern) end })
end

--- Accepts the ghost text, or its next word or line; false where there is none.
function M.accept() return take([[\_.*]]) end
function M.accept_word() return take([[\_s*\%(\k\+\|\%(\k\@!\S\)\+\)\|\_s\+]]) end
function M.accept_line() return take([[\n\?[^\n]*]]) end

--- Shows the next or the previous proposal.
function M.next() vim.lsp.inline_completion.select({ count = 1 }) end
function M.prev() vim.lsp.inline_completion.select({ count = -1 }) end

--- Asks at the caret, also for what the model is too unsure of to show by itself; false where there is no server. Where
--- nothing comes it says why.
function M.ask()
  local client, ghost = vim.lsp.get_clients({ name = 'lacuna', bufnr = 0 })[1], ghost_here()
  if not client or not ghost then return false end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = vim.lsp.protocol.InlineCompletionTriggerKind.Invoked }
  pcall(ghost.reset_timer, ghost) -- else what Neovim asks by itself takes this one's place
  local function tell(why) vim.notify('Lacuna: ' .. why) end
  client:request('textDocument/inlineCompletion', params, function(err, result, context)
    if err then return err.code ~= vim.lsp.protocol.ErrorCodes.RequestCancelled and tell(err.message) end
    pcall(ghost.handler, ghost, err, result, context)
    if result and #(result.items or result) > 0 then return end
    client:request('workspace/executeCommand', { command = 'lacuna.status' }, function(_, status)
      tell((not status or status.message:find('^ready')) and 'no proposal here' or status.message)
    end)
  end)
end

--- Takes the ghost text away; false where there is none.
function M.dismiss()
  local ghost = ghost_here()
  if not ghost or not ghost.current then return false end
  vim.schedule(function() pcall(ghost.abort, ghost) end)
end

--- The state, for a status line; empty while no server runs.
function M.statusline()
  local status = vim.g.lacuna_status
  local step = status and status.step and (' %d/%d'):format(status.step.step, status.step.stepsMax) or ''
  return status and 'lacuna ' .. status.state .. step or ''
end

function M.on_status(status)
  if status.state ~= 'busy' then require('lacuna.frames').clear() end
  local is_news = status.message ~= (vim.g.lacuna_status or {}).message
  if is_news and status.state == 'error' then vim.notify('Lacuna: ' .. status.message, vim.log.levels.ERROR) end
  if M.tells_ready and status.state == 'ready' and is_news then
    M.tells_ready = nil
    vim.notify('Lacuna: ' .. status.message)
  end
  vim.g.lacuna_status = status
  vim.cmd.redrawstatus({ bang = true })
end

--- Tells the server of a further file's folder, once it can be told; Neovim prints a line for one that is known.
function M.add_folder(client, folder)
  if folder and not client.initialized then return table.insert(waiting, folder) end
  local is_known = vim.iter(client.workspace_folders or {}):any(function(it) return it.name == folder end)
  if folder and not is_known then pcall(client._add_workspace_folder, client, folder) end
end

function M.on_attach(client_id, buf)
  local client = vim.lsp.get_client_by_id(client_id)
  if not client or client.name ~= 'lacuna' then return end
  while waiting[1] do M.add_folder(client, table.remove(waiting)) end
  if not vim.lsp.inline_completion then -- before Neovim 0.12: an item of the completion menu
    local asks_first = vim.o.completeopt:find('no[is]') ~= nil -- noinsert, noselect: else it would come by itself
    return vim.lsp.completion.enable(true, client_id, buf, { autotrigger = asks_first })
  end
  vim.lsp.inline_completion.enable(true, { bufnr = buf })
  for action, keys in pairs(keymap) do
    -- Without ghost text to accept, the key is what it is elsewhere.
    local function press() return M[action]() == false and keys or '' end
    if keys then
      vim.keymap.set('i', keys, press, { buffer = buf, expr = true, desc = 'Lacuna: ' .. action })
    end
  end
end

return M
