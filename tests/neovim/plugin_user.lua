-- The configuration of a user of the plugin, whose `lacuna` on the PATH is the server under test.
local here = vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2))
local options = vim.json.decode(vim.env.LACUNA_TEST_OPTIONS, { luanil = { object = true } })
local bin = vim.env.LACUNA_TEST_FOLDER .. '/bin'

-- Puts a `lacuna` there: recorded where it serves, itself for everything else.
function _G.install()
  local command = vim.json.decode(vim.env.LACUNA_TEST_SERVER)
  local quoted = table.concat(vim.tbl_map(vim.fn.shellescape, command), ' ')
  local itself = vim.fn.shellescape(command[3])
  local script = { '#!/bin/sh', '[ "$1" != lsp ] && exec ' .. itself .. ' "$@"', 'exec ' .. quoted }
  vim.fn.mkdir(bin, 'p')
  vim.fn.writefile(script, bin .. '/lacuna.new')
  vim.uv.fs_chmod(bin .. '/lacuna.new', 493)
  vim.uv.fs_rename(bin .. '/lacuna.new', bin .. '/lacuna')
end

vim.env.PATH = bin .. ':/usr/bin:/bin'
if not options.not_installed then
  install()
end
if options.before_0_12 then
  vim.lsp.inline_completion = false
  local capabilities = vim.lsp.protocol.make_client_capabilities
  vim.lsp.protocol.make_client_capabilities = function()
    local those = capabilities()
    those.textDocument.inlineCompletion = nil
    return those
  end
end

local seen = dofile(here .. '/notebook.lua')
vim.opt.runtimepath:append(vim.fs.joinpath(here, '../../editors/neovim'))
require('lacuna').setup(options.setup)

local on_status = require('lacuna').on_status
require('lacuna').on_status = function(status)
  table.insert(seen.status, status)
  on_status(status)
end
